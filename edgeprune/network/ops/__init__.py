"""The operators of an IntegerNetwork, one file each. Adding one is a file and a line here."""

from edgeprune.network.operation import Operation
from edgeprune.network.ops.add import Add
from edgeprune.network.ops.average_pool1d import AveragePool1d
from edgeprune.network.ops.concat import Concat
from edgeprune.network.ops.conv1d import Conv1d
from edgeprune.network.ops.dense import Dense
from edgeprune.network.ops.depthwise_conv1d import DepthwiseConv1d
from edgeprune.network.ops.max_pool1d import MaxPool1d
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
            Dense,
            MaxPool1d,
            AveragePool1d,
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
    "Concat",
    "Conv1d",
    "Dense",
    "DepthwiseConv1d",
    "MaxPool1d",
    "Mul",
    "Requantize",
    "Reshape",
    "Sub",
    "Table",
]
