"""Of recorded runs those that one recipe made."""

from featbench.errors import UsageError, did_you_mean
from featbench.experiments import Result, ResultStore


def results_of(store: ResultStore, recipe: str | None) -> list[Result]:
    """Return a recipe's runs, oldest first; without a recipe all runs.

    Parameters
    ----------
    store : ResultStore
        Where they are.
    recipe : str or None
        What the recipe is called.

    Raises
    ------
    UsageError
        When there is a recipe and no run of it: with the recipes that there are.
    """
    known = store.all()
    if recipe is None:
        return known
    found = [result for result in known if result.recipe == recipe]
    if not found:
        names = sorted({result.recipe for result in known if result.recipe})
        raise UsageError(f"--recipe {recipe}: {store.folder} has no such runs"
                         f"{did_you_mean(recipe, names)} Recipes there: "
                         f"{', '.join(names) or 'none'}")  # fmt: skip
    return found
