"""What can go wrong, each with the exit code that the command line gives it.

A message says what, where, and what to do next; the command line prints it without a traceback.
"""

import difflib
from collections.abc import Iterable


class FeatbenchError(Exception):
    """Something failed that the user can mend (exit code 1).

    Parameters
    ----------
    message : str
        What went wrong, where (the file or option), and the next step.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)


class UsageError(FeatbenchError):
    """A wrong option, name or input (exit code 2).

    Parameters
    ----------
    message : str
        What went wrong, where (the file or option), and the next step.
    """

    exit_code = 2


class DamagedCacheError(FeatbenchError):
    """A file of the feature cache is not what it should be (exit code 4).

    Parameters
    ----------
    message : str
        The file, what is wrong with it, and the next step.
    """

    exit_code = 4


class BrokenImageError(FeatbenchError):
    """One image cannot be decoded; the caller skips it and reports why.

    Parameters
    ----------
    message : str
        The reason, in the decoder's words.
    """


def in_words(error: Exception) -> str:
    """Return what went wrong: an error of ours says it itself, another one's kind tells more.

    Parameters
    ----------
    error : Exception
        Whatever was raised.
    """
    return str(error) if isinstance(error, FeatbenchError) else f"{type(error).__name__}: {error}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End a sentence about an unknown name: with the nearest known one, where one is near.

    Near is the same in other case, one that begins so, one that holds it, or one spelled alike.

    Parameters
    ----------
    name : str
        The name as the user typed it.
    known : iterable of str
        The names there are.

    Returns
    -------
    str
        ``"; did you mean 'svm-poly'?"``, or a full stop.
    """
    names = list(known)
    near = [each for each in names if each.casefold() == name.casefold()]
    if len(name) >= _TELLING:
        near += [each for each in names if each.startswith(name)]
        near += [each for each in names if name in each]
    lower = {each.lower(): each for each in names}
    near += [lower[k] for k in difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)]
    return f"; did you mean {near[0]!r}?" if near else "."


_TELLING = 3
"""A name that begins with, or holds, so many letters as typed is probably the one meant."""
