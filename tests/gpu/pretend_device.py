"""A GPU in Python: a device of torch's own (PrivateUse1) whose tensors wrap tensors on the CPU.

To torch it is another device: it refuses .numpy(), nothing moves there by itself, and autograd, vmap and
make_fx treat it as they treat CUDA. An operation on tensors of two devices raises. Importing this module
changes torch for the whole process: it is for a process of its own.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("pretend")
# Parameters stay the objects that they are when a module is moved.
torch.__future__.set_swap_module_params_on_conversion(True)
DEVICE = torch.device("pretend", 0)
CPU = torch.device("cpu")
aten = torch.ops.aten
MOVES = (aten.copy_.default, aten._to_copy.default)
INDEXING = (aten.index.Tensor,)  # CUDA takes indices that lie on the CPU


class Far(Tensor):
    """A tensor on the pretended device."""

    raw: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw: Tensor) -> "Far":
        far = Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=DEVICE,
        )
        far.raw = raw
        return far

    @property
    def data(self) -> Tensor:
        return self.detach()

    @data.setter
    def data(self, new: "Far") -> None:
        torch._C.TensorBase.data.__set__(self, new)
        self.raw = new.raw

    def tolist(self) -> Any:
        return self.raw.tolist()

    def __deepcopy__(self, memo: Any) -> "Far":
        copy = Far(self.raw.detach().clone()).requires_grad_(self.requires_grad)
        copy._is_param = getattr(self, "_is_param", False)
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("a tensor on the device is pickled")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, *args, **(kwargs or {}))


def compute(func: Any, *args: Any, **kwargs: Any) -> Any:
    """An operation on tensors that are all on the device, but for numbers."""
    tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
    far = [isinstance(t, Far) for t in tensors]
    wanted = kwargs.get("device")
    if func not in MOVES and not (func in INDEXING and far[0]):
        near = [t for t, is_far in zip(tensors, far, strict=True) if not is_far]
        numbers = torch.Tag.pointwise in func.tags
        if any(far) and any(t.dim() or not numbers for t in near):
            places = [f"{t.device} {tuple(t.shape)}" for t in tensors]
            raise RuntimeError(f"{func}: tensors on {places}")
    if wanted is not None:
        kwargs["device"] = CPU
    raw_args, raw_kwargs = tree_map_only(Far, lambda t: t.raw, (args, kwargs))
    result = func(*raw_args, **raw_kwargs)
    returns = func._schema.returns
    if returns and returns[0].alias_info and returns[0].alias_info.is_write:
        return kwargs.get("out", args[0])
    there = torch.device(wanted).type == "pretend" if wanted is not None else any(far)
    return tree_map_only(Tensor, Far, result) if there else result


library = torch.library.Library("_", "IMPL")
library.fallback(compute, "PrivateUse1")

made = torch.tensor  # its C++ knows no device in Python


def tensor(data: Any, device: Any = None, **settings: Any) -> Tensor:
    return made(data, **settings) if device is None else made(data, **settings).to(device)


torch.tensor = tensor  # type: ignore[assignment]
