"""The command that looks at this machine: doctor."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from featbench.cli import _options as options
from featbench.cli._app import app
from featbench.cli._ending import finish

if TYPE_CHECKING:
    from featbench.experiments import Finding


@app.command()
def doctor(
    device: options.Device = "auto",
    cache: options.Cache = None,
    results: options.Results = None,
    as_json: options.Json = False,
) -> None:
    """Look at versions, memory, folders and extras, and test the bundled network on ten digits.

    Exit code 3 when something stands in the way; each problem is told with its next step.
    """
    from featbench.experiments import Choice, Finding, check_up, settle

    chosen = settle(Choice(cache=cache, results=results), remember=False)
    found: list[Finding] = []
    for one in check_up(chosen.cache, chosen.results, device):
        if not as_json:
            _print(one, heading=not found or found[-1].area != one.area)
        found.append(one)
    problems = [one for one in found if one.problem]
    if as_json:
        print(json.dumps({"ok": not problems, "findings": [asdict(one) for one in found]}))
    else:
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}, marked with !"
        print(f"\n{count if problems else 'everything is as it should be'}")
    finish(bool(problems))


def _print(one: "Finding", heading: bool) -> None:
    if heading:
        print(one.area)
    print(f"{'!' if one.problem else ' '} {one.name:<18} {one.said}", flush=True)
    if one.problem:
        print(f"    {one.problem}\n    next: {one.next_step}")
