"""The compiled peer: the same networks in JAX, an epoch as one `lax.scan` under `jit`, runs by `vmap`.

    python -m venv jax && jax/bin/pip install jax && jax/bin/python tests/benchmarks/jax_peer.py

Needs no other package of the project. Prints milliseconds a step and run, the best of five epochs, without
the compilation. Images are random bytes of MNIST's shape: the time does not depend on what they show.
"""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

EXAMPLES, STEPS = 50_000, 400
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
NETWORKS = {"784-100-10, batch 64": (100, 64), "784-30-10, batch 10": (30, 10)}  # hidden, batch


def initial(key: Any, hidden: int) -> Any:
    one, two = jax.random.split(key)
    return [
        (jax.random.normal(one, (784, hidden)) * (2 / 784) ** 0.5, jnp.zeros(hidden)),
        (jax.random.normal(two, (hidden, 10)) * (2 / hidden) ** 0.5, jnp.zeros(10)),
    ]


def cost(parameters: Any, x: Any, y: Any) -> Any:
    (w1, b1), (w2, b2) = parameters
    logits = jax.nn.relu(x @ w1 + b1) @ w2 + b2
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1).mean()


def step(images: Any, labels: Any, lr: Any, state: Any, examples: Any) -> Any:
    """One update by Adam."""
    parameters, m, v, t = state
    x = images[examples].astype(jnp.float32) / 255
    loss, gradients = jax.value_and_grad(cost)(parameters, x, labels[examples])
    t = t + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, gradients)
    parameters = jax.tree.map(
        lambda p, m, v: p - lr * (m / (1 - BETA1**t)) / (jnp.sqrt(v / (1 - BETA2**t)) + EPS),
        parameters, m, v,
    )  # fmt: skip
    return (parameters, m, v, t), loss


def milliseconds(hidden: int, batch: int, runs: int) -> float:
    """A step and run."""
    random = np.random.default_rng(0)
    images = jnp.asarray(random.integers(0, 256, (EXAMPLES, 784), dtype=np.uint8))
    labels = jnp.asarray(random.integers(0, 10, EXAMPLES))

    def epoch(state: Any, lr: Any, order: Any) -> Any:
        return jax.lax.scan(partial(step, images, labels, lr), state, order)

    parameters = jax.vmap(partial(initial, hidden=hidden))(
        jax.random.split(jax.random.key(0), runs)
    )
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = parameters, zeros, zeros, jnp.zeros(runs)
    lr = jnp.full(runs, 1e-3)
    orders = np.stack([random.permutation(EXAMPLES)[: STEPS * batch] for _ in range(runs)])
    order = jnp.asarray(orders.reshape(runs, STEPS, batch))
    if runs == 1:
        state, lr, order = jax.tree.map(lambda x: x[0], (state, lr, order))
    trained = jax.jit(epoch if runs == 1 else jax.vmap(epoch))
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        state, loss = trained(state, lr, order)
        jax.block_until_ready(loss)
        seconds.append(time.perf_counter() - start)
    return 1e3 * min(seconds[1:]) / STEPS / runs


if __name__ == "__main__":
    for name, (hidden, batch) in NETWORKS.items():
        found = {runs: milliseconds(hidden, batch, runs) for runs in (1, 8, 16)}
        print(name, {runs: round(ms, 3) for runs, ms in found.items()})
