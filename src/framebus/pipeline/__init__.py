"""Pipelines: units, their wiring, and where each of them runs."""

from framebus.pipeline.pipeline import Node, Pipeline

__all__ = ["Node", "Pipeline"]
