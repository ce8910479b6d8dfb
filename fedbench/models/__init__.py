"""Frozen backbones and the projector that clients train."""

from fedbench.models.backbone import Backbone
from fedbench.models.projector import Projector

__all__ = ["Backbone", "Projector"]
