"""What a node of Flower's simulation does; a module of its own, since Ray's processes import it by name."""

from functools import cache
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from workload import Workload, network, train

client_app = ClientApp()


@cache
def side(folder, dtype):
    """The workload and a model, once in each of Ray's processes."""
    torch.set_num_threads(1)
    workload = Workload(Path(folder), getattr(torch, dtype))
    return workload, network().to(workload.dtype)


@client_app.train()
def train_client(message, context):
    config = message.content["config"]
    workload, model = side(config["folder"], config["dtype"])
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    number, client = config["number"], config["client"]
    train(workload, model, number, client)
    metrics = MetricRecord({"num-examples": len(workload.work[number, client])})
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
    return Message(content=content, reply_to=message)
