"""Errors that trainers, data sets and noise laws raise on purpose."""


class TrainerError(Exception):
    """Base of every expected failure of a trial. The message is written for the person who reads the report."""


class SpecError(TrainerError):
    """A trial's specification does not fit its family, data set or noise law."""


class DataMissingError(TrainerError):
    """A data set is not on this machine; the message says which command or path provides it."""


class DivergedError(TrainerError):
    """The loss is no longer a finite number."""


class StateError(TrainerError):
    """A state that was handed to ``load_state_dict`` belongs to another trainer or is damaged."""


class SourceError(TrainerError):
    """A text that is to be prepared, or how it is asked for, is not as it must be; nothing was changed."""


class UnreachableError(TrainerError):
    """What preparation needs from outside (a hub, a folder that another process holds) cannot be had now."""
