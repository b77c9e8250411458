"""What sizes of networks have in common."""


class PositiveSizes:
    """Base of dataclasses whose fields are all positive.

    Raises:
        ValueError: If one is not.
    """

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
