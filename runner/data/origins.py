"""Where the data sets come from.

MNIST, LeCun et al. http://yann.lecun.com/exdb/mnist/; Fashion-MNIST, Xiao et al. 2017
https://arxiv.org/abs/1708.07747; CIFAR-10 (binary version), Krizhevsky 2009
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from dataclasses import dataclass

from runner.data.formats import CIFAR10_RECORD_BYTES, CIFAR10_RECORDS


@dataclass(frozen=True)
class Origin:
    """Where a data set lies on disk and on the network."""

    folder: str
    files: tuple[str, ...]
    mirrors: tuple[str, ...]  # tried in this order; each ends in a slash
    downloads: dict[str, str]  # name under a mirror -> sha256: the files, or an archive of them
    file_bytes: int | None = None  # of each file in an archive


MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
ORIGINS = {
    "mnist": Origin(
        folder="mnist",
        files=MNIST_FILES,
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        downloads={
            MNIST_FILES[0]: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            MNIST_FILES[1]: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            MNIST_FILES[2]: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            MNIST_FILES[3]: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion_mnist": Origin(
        folder="fashion_mnist",
        files=MNIST_FILES,
        mirrors=(
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        downloads={
            MNIST_FILES[0]: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            MNIST_FILES[1]: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            MNIST_FILES[2]: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            MNIST_FILES[3]: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
    "cifar10": Origin(
        folder="cifar-10-batches-bin",
        files=(*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        downloads={
            "cifar-10-binary.tar.gz": (
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
            )
        },
        file_bytes=CIFAR10_RECORDS * CIFAR10_RECORD_BYTES,
    ),
}
