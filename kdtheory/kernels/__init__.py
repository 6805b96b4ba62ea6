"""Kernels, their Gram matrices, and Gram operators that multiply by a matrix which is never stored."""

from kdtheory.kernels.base import Kernel
from kdtheory.kernels.convolutional import ConvolutionalNNGP, ConvolutionalNTK
from kdtheory.kernels.inner_product import ArcCosine, Cosine, Linear, Polynomial
from kdtheory.kernels.ntk import NNGP, NTK
from kdtheory.kernels.operator import GramOperator
from kdtheory.kernels.stationary import RBF, Laplace, Matern
from kdtheory.kernels.tasks import PartialProduct, Task, block_product

__all__ = [
    "NNGP",
    "NTK",
    "RBF",
    "ArcCosine",
    "ConvolutionalNNGP",
    "ConvolutionalNTK",
    "Cosine",
    "GramOperator",
    "Kernel",
    "Laplace",
    "Linear",
    "Matern",
    "PartialProduct",
    "Polynomial",
    "Task",
    "block_product",
]
