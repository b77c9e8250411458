"""Named random streams.

Every random draw of a study comes from a stream named by what it is for, so that no draw depends on how many came
before it: a resumed run, another number of processes or another batch size sees the same numbers.
"""

import hashlib
import operator


def seed_for(*keys: int | str) -> int:
    """A seed in [0, 2**63) determined by the keys, e.g. ``seed_for(seed, "rotation", step)``.

    Raises:
        TypeError: If a key is neither text nor an integer (of any integer type).
    """
    text = "\x1f".join(f"str:{key}" if isinstance(key, str) else f"int:{operator.index(key)}" for key in keys)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
