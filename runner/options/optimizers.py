"""The update rules of stochastic gradient descent. g is the gradient ∂C/∂w, η is `lr`.

torch.optim does the arithmetic, fused into one kernel where it has one. Each class names the rule in
the lecture's symbols and where torch.optim differs from it.
"""

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from runner.options.option import Fraction, Option, Positive
from runner.options.registry import group, option

if TYPE_CHECKING:
    from torch import Tensor, optim

    Params = Iterable[Tensor]


@group("optimizer")
class UpdateRule(Option):
    """What all update rules have.

    Attributes:
        lr: η.
        elementwise: Whether each parameter is updated from its own gradient alone, so that the tensors
            of several runs can be updated as one. Runs with a rule that is not are trained alone.
    """

    elementwise: ClassVar[bool] = False

    name: str
    lr: Positive

    @abstractmethod
    def build(self, params: "Params") -> "optim.Optimizer":
        """The rule as a torch optimizer of these parameters."""


@option("optimizer")
class SGD(UpdateRule):
    """w ← w − ηg.

    Robbins & Monro 1951, https://doi.org/10.1214/aoms/1177729586.
    """

    elementwise = True

    name: Literal["sgd"]

    def build(self, params: "Params") -> "optim.Optimizer":
        from torch import optim

        return optim.SGD(params, lr=self.lr, fused=True)


@option("optimizer")
class Momentum(UpdateRule):
    """v ← μv − ηg; w ← w + v.

    torch keeps −v/η instead of v. The two agree while η is constant; under a schedule torch rescales
    past gradients by the new η. Polyak 1964, https://doi.org/10.1016/0041-5553(64)90137-5.

    Attributes:
        momentum: μ.
    """

    elementwise = True

    name: Literal["momentum"]
    momentum: Fraction

    def build(self, params: "Params") -> "optim.Optimizer":
        from torch import optim

        return optim.SGD(params, lr=self.lr, momentum=self.momentum, fused=True)


@option("optimizer")
class Nesterov(UpdateRule):
    """v ← μv − ηg(w + μv); w ← w + v: the gradient at the point that the momentum leads to.

    torch stores ŵ = w + μv, the lecture's change of variables, for which the gradient is taken at the
    stored parameters: v' = μv − ηg(ŵ); ŵ ← ŵ − μv + (1 + μ)v'.
    Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html.

    Attributes:
        momentum: μ.
    """

    elementwise = True

    name: Literal["nesterov"]
    momentum: Annotated[float, Field(gt=0, lt=1)]

    def build(self, params: "Params") -> "optim.Optimizer":
        from torch import optim

        return optim.SGD(params, lr=self.lr, momentum=self.momentum, nesterov=True, fused=True)


@option("optimizer")
class AdaGrad(UpdateRule):
    """c ← c + g²; w ← w − ηg / (√c + ε).

    The lecture writes no ε; without it a weight whose gradient is always zero becomes 0/0.
    Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html.

    Attributes:
        eps: ε.
    """

    elementwise = True

    name: Literal["adagrad"]
    eps: Positive

    def build(self, params: "Params") -> "optim.Optimizer":
        import torch

        params = list(params)
        # torch has fused AdaGrad on a GPU since 2.13.
        fused = params[0].device.type == "cpu" or torch.__version__ >= "2.13"
        return torch.optim.Adagrad(params, lr=self.lr, eps=self.eps, fused=fused)


@option("optimizer")
class RMSProp(UpdateRule):
    """c ← αc + (1−α)g²; w ← w − ηg / (√c + ε).

    Hinton's lecture takes α = 0.9 where torch's default is 0.99. c starts at zero and is not
    corrected, so the first step has size η/√(1−α).
    Hinton 2012, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf.

    Attributes:
        alpha: α, how much of the average of g² a step keeps.
        eps: ε.
    """

    elementwise = True

    name: Literal["rmsprop"]
    alpha: Fraction
    eps: Positive

    def build(self, params: "Params") -> "optim.Optimizer":
        from torch import optim

        return optim.RMSprop(params, lr=self.lr, alpha=self.alpha, eps=self.eps)


@option("optimizer")
class Adam(UpdateRule):
    """m ← β₁m + (1−β₁)g; c ← β₂c + (1−β₂)g²; w ← w − η·m̂ / (√ĉ + ε).

    m̂ = m/(1−β₁ᵗ) and ĉ = c/(1−β₂ᵗ) correct the bias of averages that start at zero.
    Kingma & Ba 2015, https://arxiv.org/abs/1412.6980.

    Attributes:
        beta1: β₁, how much of the average of g a step keeps.
        beta2: β₂, the same for g².
        eps: ε.
    """

    elementwise = True

    name: Literal["adam"]
    beta1: Fraction
    beta2: Fraction
    eps: Positive

    def build(self, params: "Params") -> "optim.Optimizer":
        from torch import optim

        betas = (self.beta1, self.beta2)
        return optim.Adam(params, lr=self.lr, betas=betas, eps=self.eps, fused=True)


@option("optimizer")
class AdamUncorrected(UpdateRule):
    """m ← β₁m + (1−β₁)g; c ← β₂c + (1−β₂)g²; w ← w − ηm / (√c + ε): Adam as the lecture has it.

    With β = (0.9, 0.999) its steps are 3.16 times Adam's at t = 1, 6.57 times at t = 12 and 1.26
    times at t = 1000. Equation of Kingma & Ba 2015, https://arxiv.org/abs/1412.6980, without the
    correction of its §3.

    Attributes:
        beta1: β₁, how much of the average of g a step keeps.
        beta2: β₂, the same for g².
        eps: ε.
    """

    elementwise = True

    name: Literal["adam_uncorrected"]
    beta1: Annotated[float, Field(ge=0, le=0.9999)]
    beta2: Annotated[float, Field(ge=0, le=0.9999)]
    eps: Positive

    def build(self, params: "Params") -> "optim.Optimizer":
        import torch

        betas = (self.beta1, self.beta2)
        adam = torch.optim.Adam(params, lr=self.lr, betas=betas, eps=self.eps, fused=True)
        # Adam with its clock a million steps ahead: there 1 − βᵗ is 1 exactly for β ≤ 0.9999, and
        # float32 still counts single steps (up to 16.7 million).
        for settings in adam.param_groups:
            for p in settings["params"]:
                adam.state[p] = {
                    "step": torch.tensor(1e6, dtype=torch.float32, device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        return adam


@option("optimizer")
class AdamW(UpdateRule):
    """Adam, and w ← w − ηλw beside it: weight decay decoupled from the gradient.

    `weight_decay` is λ. It acts on every parameter and is no part of the cost; `regularizer.l2` is,
    and goes through Adam's division. Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101.

    Attributes:
        beta1: β₁, how much of the average of g a step keeps.
        beta2: β₂, the same for g².
        eps: ε.
        weight_decay: λ.
    """

    elementwise = True

    name: Literal["adamw"]
    beta1: Fraction
    beta2: Fraction
    eps: Positive
    weight_decay: Annotated[float, Field(ge=0)]

    def build(self, params: "Params") -> "optim.Optimizer":
        from torch import optim

        return optim.AdamW(
            params,
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )
