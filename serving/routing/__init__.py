"""Which model answers, and what happens when it does not."""

from serving.routing.classify import classify_task
from serving.routing.selector import ModelSelector

__all__ = ["ModelSelector", "classify_task"]
