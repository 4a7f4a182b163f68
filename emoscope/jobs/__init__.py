"""The one bounded queue in front of the analyzer, for every door."""

from emoscope.jobs.job import Job, Task
from emoscope.jobs.queue import Jobs

__all__ = ["Job", "Jobs", "Task"]
