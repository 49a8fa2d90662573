"""Every deliberate exception of sercache, on one screen.

A message says what was got, what was expected and what to do. The command line prints it as one
line and exits with ``exit_code``: 2 where the user can mend it, 1 where the fault is ours.
"""


class SercacheError(Exception):
    """Anything that sercache refuses on purpose."""

    exit_code = 2


class UnknownNameError(SercacheError):
    """A head, corpus, encoder, state, task or protocol that does not exist."""


class ContractError(SercacheError):
    """A head, corpus or encoder from outside that cannot be loaded or does not keep its contract."""


class SettingsError(SercacheError):
    """An option, environment variable or configuration file that cannot be used."""


class NotAtHandError(SettingsError):
    """Recordings that nobody has said the place of, or that lay where nothing is now."""


class HubError(SercacheError):
    """The Hugging Face hub refuses, is out of reach, or gave other bytes than it had promised."""


class MissingMaterialError(SercacheError):
    """What a paper's table needs and is not on this machine: a corpus, a checkpoint, words, another run."""


class TextError(SercacheError):
    """A text file or table that cannot be read: its encoding is not known, or its lines make no table."""


class MissingExtraError(SercacheError):
    """An optional package is needed and not installed."""


class FileError(SercacheError):
    """A file of ours that cannot be written or read, or does not hold what was written."""


class AudioError(SercacheError):
    """A recording that cannot be used: unreadable, empty, silent, too short."""

    def __init__(self, message: str, kind: str = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind
        """unreadable, lfs-pointer, truncated, damaged, outside, silent, cancelled, not-finite, overflow, too-short or
        too-long."""


class LeftOutError(SercacheError):
    """Work that is left out since each process that did it was lost; all else is done."""


class CorpusError(SercacheError):
    """A folder that is not the corpus it is said to be, or labels that cannot be read."""


class EncoderError(SercacheError):
    """A checkpoint that cannot be loaded or does not keep the encoder contract."""


class StoreError(SercacheError):
    """A feature store that cannot be opened, written or continued."""


class AlreadyStoredError(StoreError):
    """An utterance is appended that the store holds already: committed before, or by another process meanwhile."""


class DamagedStoreError(StoreError):
    """Bytes in a store differ from the checksum that was recorded with them."""


class MissingFeaturesError(StoreError):
    """Utterances are asked for that the cache does not hold."""


class NumericRangeError(StoreError):
    """Values that are not finite, or do not fit the chosen dtype."""


class ClusterError(SercacheError):
    """Workers that cannot be started, that refuse the work or are lost again and again."""


class DiskSpaceError(StoreError):
    """The planned bytes do not fit on the disk."""


class ProtocolError(SercacheError):
    """Folds that cannot be made, or that overlap where they must not."""


class RecipeError(SercacheError):
    """Training settings that do not exist or cannot be used together."""


class TrainingError(SercacheError):
    """Training that cannot go on, for example a loss that is not finite."""


class LostProcessError(TrainingError):
    """A process that trained for this one is gone."""
