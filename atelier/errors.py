"""What can go wrong, as a tree.

AtelierError
├── ConfigError            settings that contradict each other or do not fit the model
├── CatalogError           a catalog that cannot be read at all (a bad row is a rejected row, not this)
├── LedgerError            an output whose own records are absent or contradict each other
├── MismatchError          sets of pictures that cannot be held against each other; lists the names
├── WeightsError           a checkpoint or weight folder that does not fit; lists every key that is off
├── StorageError           an address that cannot be read or written
│   ├── NotFound           nothing lies at the address
│   ├── AccessDenied       the store refused the credentials
│   ├── TooLarge           the object is longer than the caller takes
│   └── PreconditionFailed a conditional PUT or GET whose condition does not hold
├── StageContractError     a stage that read or wrote other columns than it declared
└── RowError               one row cannot be done; recorded on the row, its neighbours go on

Everything that is not a `RowError` ends the run.
"""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN_NAMES = 10


class AtelierError(Exception):
    """The root of every error that Atelier raises on purpose."""


class ConfigError(AtelierError):
    """Settings that contradict each other or do not fit the model."""


class CatalogError(AtelierError):
    """A catalog that cannot be read at all."""


class LedgerError(AtelierError):
    """An output whose own records are absent or contradict each other."""


class MismatchError(AtelierError):
    """Sets of pictures that cannot be held against each other.

    Args:
        reason: what is wrong with the pictures named.
        names: of the pictures; the message gives the first ten.
    """

    def __init__(self, reason: str, names: Sequence[str] = ()) -> None:
        self.reason, self.names = reason, tuple(names)
        shown = ", ".join(self.names[:_SHOWN_NAMES])
        more = f" and {len(self.names) - _SHOWN_NAMES} more" if len(self.names) > _SHOWN_NAMES else ""
        super().__init__(f"{reason}: {shown}{more}" if names else reason)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.names)


class StageContractError(AtelierError):
    """A stage that read or wrote other columns than it declared."""


class WeightsError(AtelierError):
    """Weights that do not fit the network; the message lists every key that is off.

    Args:
        source: the file or folder the weights came from.
        missing: keys the network has and the file lacks.
        unexpected: keys the file has and the network lacks.
        mis_shaped: `(key, shape in the file, shape of the network)`.
        reason: what is wrong where it is not a matter of keys.
    """

    def __init__(
        self,
        source: str,
        *,
        missing: Sequence[str] = (),
        unexpected: Sequence[str] = (),
        mis_shaped: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]] = (),
        reason: str = "",
    ) -> None:
        self.source, self.reason = source, reason
        self.missing, self.unexpected, self.mis_shaped = tuple(missing), tuple(unexpected), tuple(mis_shaped)
        lines = [f"{source}: {reason or 'the weights do not fit the network'}"]
        for title, keys in (("missing", self.missing), ("unexpected", self.unexpected)):
            if keys:
                lines += [f"  {title} ({len(keys)}):", *(f"    {key}" for key in sorted(keys))]
        if self.mis_shaped:
            shapes = (f"    {key} is {list(have)}, must be {list(want)}" for key, have, want in self.mis_shaped)
            lines += [f"  mis-shaped ({len(self.mis_shaped)}):", *shapes]
        super().__init__("\n".join(lines))


class StorageError(AtelierError):
    """An address that cannot be read or written.

    Args:
        address: the path or `s3://` address.
        reason: what the store answered.
    """

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(f"{address}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.address, self.reason)


class NotFound(StorageError):
    """Nothing lies at the address."""


class AccessDenied(StorageError):
    """The store refused the credentials."""


class TooLarge(StorageError):
    """The object is longer than the caller takes."""


class PreconditionFailed(StorageError):
    """The condition of a conditional PUT or GET does not hold."""


class RowError(AtelierError):
    """One row cannot be done.

    Args:
        code: a stable, snake_case reason, e.g. `picture_truncated`; never empty.
        detail: a sentence for the person who has to mend the row: field, value, what is allowed.
        rejected: the input is at fault, another try gives the same (`rejected`); otherwise `failed`, which comes back
            in the next plan.
    """

    def __init__(self, code: str, detail: str, *, rejected: bool = True) -> None:
        self.code, self.detail, self.rejected = code, detail, rejected
        super().__init__(f"{code}: {detail}")

    def __reduce__(self) -> tuple[object, ...]:
        return _row_error, (self.code, self.detail, self.rejected)


def _row_error(code: str, detail: str, rejected: bool) -> RowError:
    return RowError(code, detail, rejected=rejected)
