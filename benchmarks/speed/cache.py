"""How long cached features take to open, and how much memory an extraction needs.

    python benchmarks/speed/cache.py --data cifar10-30k.zip

extracts into an empty cache with few and with many images (each in a process of its own), prints
the peak memory of both and their ratio; then opens all that is cached, and prints the seconds that
took beyond the imports: the median of several processes, with the rows read and without.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

OPEN = """
import sys, time
import torch, torchvision
from featbench.datasets import load_dataset
from featbench.extraction import extract_layers
from featbench.networks import create_network
data, network, cache, rows, limit = sys.argv[1:]
began = time.perf_counter()
data, network = load_dataset(data, limit=int(limit)), create_network(network, "random")
options = {"cache": cache, "precision": "bfloat16", "rows": rows == "rows"}
found = extract_layers(data, network, ["features"], **options)
seconds = time.perf_counter() - began
assert found["features"].rows_computed == 0
print(seconds, found["features"].rows_cached)
"""


def extract(options: argparse.Namespace, limit: int, cache: Path) -> float:
    """Extract in a process of its own; return its peak memory in MiB."""
    command = [sys.executable, "-m", "featbench", "extract", "--quiet", "--precision", "bfloat16"]
    command += ["--backbone", options.network, "--weights", "random", "--limit", str(limit)]
    command += ["--data", options.data, "--cache", str(cache), "--json"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    return usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--few", type=int, default=100, help="images of each class and split")
    parser.add_argument("--many", type=int, default=1000, help="images of each class and split")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        few = extract(options, options.few, Path(folder, "few"))
        many = extract(options, options.many, Path(folder, "many"))
        print(
            f"{options.data}, {options.network}: peak memory {few:.0f} MiB with --limit "
            f"{options.few}, {many:.0f} MiB with --limit {options.many}: {many / few:.3f} times"
        )
        for rows in ("rows", "no rows"):
            arguments = [options.data, options.network, str(Path(folder, "many")), rows]
            said = [
                subprocess.run([sys.executable, "-c", OPEN, *arguments, str(options.many)],
                               check=True, capture_output=True, text=True).stdout.split()
                for _ in range(options.repeats)
            ]  # fmt: skip
            seconds = statistics.median(float(one[0]) for one in said)
            print(
                f"opening {int(said[0][1]):,} cached rows ({rows}): {seconds:.2f} s beyond imports"
            )


if __name__ == "__main__":
    main()
