"""The common base of the sizes of networks."""


class PositiveSizes:
    """Base of dataclasses whose fields are all positive.

    Raises:
        ValueError: A field is not positive.
    """

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
