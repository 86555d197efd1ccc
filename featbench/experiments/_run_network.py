"""The network of a finished run: the frozen one that its head stands on, or the trained one."""

from featbench.errors import UsageError
from featbench.experiments._model import find_model
from featbench.experiments._model_file import FOLDER
from featbench.experiments._result import FINE_TUNE, Result, ResultStore
from featbench.networks import Network, create_network, is_weights_file


def network_of(result: Result, store: ResultStore) -> Network:
    """Return a run's network.

    Parameters
    ----------
    result : Result
        A finished run.
    store : ResultStore
        Where it is recorded.

    Returns
    -------
    Network
        Frozen, for a run of a head; with its trained weights for one that trained above a cut.

    Raises
    ------
    UsageError
        When the run failed, kept no network, or was done with a file of weights.
    """
    if result.status != "ok":
        raise UsageError(f"run {result.run_id} failed ({result.error}): it has no network")
    has_model = (store.folder / result.run_id / FOLDER).is_dir()
    if result.method == FINE_TUNE or has_model:
        if result.method != FINE_TUNE and is_weights_file(result.weights):
            raise UsageError(
                f"run {result.run_id}: its {result.network} has weights from the file "
                f"{result.weights}, which a run does not keep; use --backbone {result.network} "
                "--weights FILE"
            )
        model = find_model(result.run_id, store)
        return model.create_network()
    if not result.rows_computed + result.rows_cached:
        raise UsageError(f"run {result.run_id}: was fitted on a file of features, so it has no "
                         "network")  # fmt: skip
    return create_network(result.network, result.weights, seed=result.seed)
