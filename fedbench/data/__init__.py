"""What alignment data is: training pairs, evaluation suites, images, and how they are dealt out."""

from fedbench.data.items import AlignmentData, Form, Item, Pair, Suite
from fedbench.data.partition import Partition, Partitioner

__all__ = ["AlignmentData", "Form", "Item", "Pair", "Partition", "Partitioner", "Suite"]
