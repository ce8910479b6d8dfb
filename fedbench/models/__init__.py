"""Frozen backbones, the projector that clients train, policies and reward models."""

from fedbench.models.backbone import Backbone
from fedbench.models.projector import Projector

__all__ = ["Backbone", "Projector"]
