"""The operators of an IntegerNetwork, one file each. Adding one is a file and a line here."""

from edgeprune.network.operation import Operation
from edgeprune.network.ops.add import Add
from edgeprune.network.ops.average_pool1d import AveragePool1d
from edgeprune.network.ops.average_pool2d import AveragePool2d
from edgeprune.network.ops.concat import Concat
from edgeprune.network.ops.conv1d import Conv1d
from edgeprune.network.ops.conv2d import Conv2d
from edgeprune.network.ops.dense import Dense
from edgeprune.network.ops.depthwise_conv1d import DepthwiseConv1d
from edgeprune.network.ops.depthwise_conv2d import DepthwiseConv2d
from edgeprune.network.ops.max_pool1d import MaxPool1d
from edgeprune.network.ops.max_pool2d import MaxPool2d
from edgeprune.network.ops.mul import Mul
from edgeprune.network.ops.requantize import Requantize
from edgeprune.network.ops.reshape import Reshape
from edgeprune.network.ops.sub import Sub
from edgeprune.network.ops.table import Table
from edgeprune.registry import Registry

OPERATORS: Registry[type[Operation]] = Registry(
    "operator",
    **{
        operator.kind: operator
        for operator in (
            Conv1d,
            DepthwiseConv1d,
            Conv2d,
            DepthwiseConv2d,
            Dense,
            MaxPool1d,
            AveragePool1d,
            MaxPool2d,
            AveragePool2d,
            Add,
            Sub,
            Mul,
            Table,
            Concat,
            Reshape,
            Requantize,
        )
    },
)

__all__ = [
    "OPERATORS",
    "Add",
    "AveragePool1d",
    "AveragePool2d",
    "Concat",
    "Conv1d",
    "Conv2d",
    "Dense",
    "DepthwiseConv1d",
    "DepthwiseConv2d",
    "MaxPool1d",
    "MaxPool2d",
    "Mul",
    "Requantize",
    "Reshape",
    "Sub",
    "Table",
]
