"""One executor for all long work: independent tasks on local processes or on a Dask cluster.

Every result is on disk as soon as it is there, so that neither a killed worker nor a killed run
loses what is finished.
"""

from edgeprune.executor.run import Executor, run_tasks
from edgeprune.executor.task import Codec, Task, TaskError

__all__ = ["Codec", "Executor", "Task", "TaskError", "run_tasks"]
