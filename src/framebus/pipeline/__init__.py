"""Pipelines: units, their wiring, and where each of them runs."""

from framebus.pipeline.nodes import Node
from framebus.pipeline.pipeline import Pipeline

__all__ = ["Node", "Pipeline"]
