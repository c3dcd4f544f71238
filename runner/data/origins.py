"""Where the data sets come from.

MNIST, LeCun et al. http://yann.lecun.com/exdb/mnist/; Fashion-MNIST, Xiao et al. 2017
https://arxiv.org/abs/1708.07747; CIFAR-10 and CIFAR-100 (binary version), Krizhevsky 2009
https://www.cs.toronto.edu/~kriz/cifar.html; SVHN (cropped digits), Netzer et al. 2011
http://ufldl.stanford.edu/housenumbers/.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

CIFAR_IMAGE_BYTES = 3 * 32 * 32
CIFAR10_FILE_BYTES = 10_000 * (1 + CIFAR_IMAGE_BYTES)


@dataclass(frozen=True)
class Origin:
    """Where a data set lies on disk and on the network."""

    folder: str
    files: tuple[str, ...]
    mirrors: tuple[str, ...]  # tried in this order; each ends in a slash
    downloads: dict[str, str]  # name under a mirror -> sha256: the files, or an archive of them
    file_bytes: Mapping[str, int] = field(default_factory=dict)  # of the files in an archive
    content: Mapping[str, str] = field(default_factory=dict)  # sha256 of the files, not gzipped


MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
CIFAR10_FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
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
        content={
            MNIST_FILES[0]: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            MNIST_FILES[1]: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            MNIST_FILES[2]: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            MNIST_FILES[3]: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
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
        files=CIFAR10_FILES,
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        downloads={
            "cifar-10-binary.tar.gz": (
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
            )
        },
        file_bytes=dict.fromkeys(CIFAR10_FILES, CIFAR10_FILE_BYTES),
    ),
    "cifar100": Origin(
        folder="cifar-100-binary",
        files=("train.bin", "test.bin"),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        downloads={
            "cifar-100-binary.tar.gz": (
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
            )
        },
        file_bytes={
            "train.bin": 50_000 * (2 + CIFAR_IMAGE_BYTES),
            "test.bin": 10_000 * (2 + CIFAR_IMAGE_BYTES),
        },
    ),
    "svhn": Origin(
        folder="svhn",
        files=("train_32x32.mat", "test_32x32.mat"),
        mirrors=("http://ufldl.stanford.edu/housenumbers/",),
        downloads={
            "train_32x32.mat": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
            "test_32x32.mat": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        },
    ),
}
