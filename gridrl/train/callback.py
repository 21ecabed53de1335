"""Callbacks: the parts that a `Trainer` is put together from. A hook is an ordinary method that names what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

HOOKS = (
    "restore_state",
    "begin_training",
    "begin_cycle",
    "begin_batch",
    "backward",
    "end_batch",
    "end_cycle",
    "end_training",
)

Function = TypeVar("Function", bound=Callable[..., Any])


class Callback:
    """A part of a training program, called by the `Trainer` at eight moments.

    A hook names the values it needs as parameters (`def end_batch(self, obs, bp_step)`); the trainer looks the names
    up once, before the first update: in the callback's data group, then in the trainer's state. A hook may return a
    dict, which is merged at once, so that later callbacks see it: names that stand in `provides` go into the data
    group, `{group: {...}}` into that group, everything else into the state. What other hooks ask for by name must be
    announced in `provides`.

    Attributes:
        cycle: `begin_cycle` and `end_cycle` come around every so many updates; None, 0 or less: never.
        priority: callbacks with a lower one come first; equal ones keep the order in which the trainer got them.
        data_group: the named batch that the hooks read, None for the trainer's state. Hooks of the update are only
            called for batches that hold the group.
        provides: the names that the hooks return.
        provides_groups: data groups that the hooks make anew for each batch, each with the names in it: they return
            `{group: {name: tensor, ...}}`. Where the callback is passed over, so are those that read them.
        name: what errors, logs and checkpoints call it.

    >>> class Watch(Callback):
    ...     def end_batch(self, reward):
    ...         self.best = max(reward)
    """

    cycle: int | None = None
    priority: int = 0
    data_group: str | None = None
    provides: tuple[str, ...] = ()
    provides_groups: Mapping[str, Sequence[str]] = MappingProxyType({})
    name: str = "Callback"
    # parameter -> attribute that holds its key, for each hook: see `keys_from_member`
    _KEYS: ClassVar[str] = "__gridrl_keys__"
    _EXTENDS: ClassVar[str] = "__gridrl_extends__"

    def __init__(self, cycle: int | None = None) -> None:
        self.cycle = cycle

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__

    def restore_state(self, *args: Any, **kwargs: Any) -> Any:
        """Called first of all, to import saved state; nothing can be assumed of other callbacks yet."""

    def begin_training(self, *args: Any, **kwargs: Any) -> Any:
        """Called when training starts, from scratch or after state was restored."""

    def begin_cycle(self, *args: Any, **kwargs: Any) -> Any:
        """Called before the first update of each cycle."""

    def begin_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Called when a batch has come, before anything is learned from it."""

    def backward(self, *args: Any, **kwargs: Any) -> Any:
        """Called to learn from the batch."""

    def end_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Called when every callback has learned from the batch."""

    def end_cycle(self, *args: Any, **kwargs: Any) -> Any:
        """Called after the last update of each cycle."""

    def end_training(self, *args: Any, **kwargs: Any) -> Any:
        """Called last, always: also when the batches ran out, an error came up or Ctrl-C was pressed.

        A parameter called `exception` gets what ended the training, None when it came to its end.
        """

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback: tensors and plain values."""
        return {}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave; `state_dict` itself is left as it is.

        Args:
            state_dict: from an object of the same class.
            load_network: whether to take the networks' parameters.
            load_optimizer: whether to take the optimisers' state.
            load_hparams: whether to take everything else (schedules, counters).
        """

    @staticmethod
    def extend(method: Function) -> Function:
        """Marks a method as one that subclasses override with parameters of their own, which are bound by name.

        A hook hands over to it with `Callback.takes_from`, see `BatchCallback`.
        """
        setattr(method, Callback._EXTENDS, True)
        return method

    @staticmethod
    def takes_from(method: str) -> Callable[[Function], Function]:
        """Lets a hook ask for what another, extensible method of the object names, and hand it on.

        Args:
            method: name of a method marked by `Callback.extend`; the hook gets its arguments, in their order.
        """

        def mark(hook: Function) -> Function:
            setattr(hook, Callback._EXTENDS, method)
            return hook

        return mark

    @staticmethod
    def keys_from_member(**attributes: str) -> Callable[[Function], Function]:
        """Fills parameters from keys that the object holds in its attributes.

        Args:
            attributes: parameter=name of the attribute that holds the key, read when the trainer binds the hook.

        >>> class Watch(Callback):
        ...     def __init__(self, key):
        ...         self.key = key
        ...     @Callback.keys_from_member(value="key")
        ...     def end_batch(self, value):
        ...         print(value)
        """

        def mark(hook: Function) -> Function:
            setattr(hook, Callback._KEYS, attributes)
            return hook

        return mark


class BatchCallback(Callback):
    """Takes each batch as it comes: a subclass overrides `get_batch` with the names it needs."""

    @Callback.extend
    def get_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Called with the tensors that its parameters name; may return a dict like any hook."""

    @Callback.takes_from("get_batch")
    def begin_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Hands the batch to `get_batch`."""
        return self.get_batch(*args, **kwargs)
