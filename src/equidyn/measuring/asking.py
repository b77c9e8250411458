"""The module behind a function that predicts, and the circumstances of an error inside of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from equidyn.measuring.examples import Examples, MeasureError


def module_of(predict: Callable[[Any], Any]) -> nn.Module | None:
    """The module that is called, or of which a method is; None for plain functions, which cannot be seen through."""
    found = getattr(predict, "__self__", predict)
    return found if isinstance(found, nn.Module) else None


@contextmanager
def noting(predict: Callable[[Any], Any], examples: Examples, numbers: Sequence[int]) -> Iterator[None]:
    """Add to an error of the model which examples it was asked about, and types that do not go together."""
    try:
        yield
    except MeasureError:
        raise
    except Exception as error:
        shown = ", ".join(map(str, sorted(set(numbers))))
        error.add_note(f"equidyn: the model was asked about the examples {shown}")
        values = examples.fields(examples.items[numbers[0]]).values()
        inputs = {value.dtype for value in values if isinstance(value, Tensor) and value.is_floating_point()}
        module = module_of(predict)
        parameters = {one.dtype for one in module.parameters()} if module is not None else set()
        if inputs and parameters and inputs != parameters:
            error.add_note(f"equidyn: inputs are {_words(inputs)}, parameters are {_words(parameters)}")
        raise


def _words(types: set[Any]) -> str:
    return ", ".join(sorted(map(str, types)))
