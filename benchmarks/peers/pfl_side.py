"""Apple's pfl-research on the workload; in several processes under torchrun."""

import time
from itertools import pairwise

import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.federated_dataset import FederatedDatasetBase
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.hyperparam import NNTrainHyperParams
from pfl.internal.ops.selector import get_framework_module
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel
from workload import asked, load, network, report


class Planned(FederatedDatasetBase):
    """The plan's cohorts, each process its share of every one."""

    def __init__(self, workload):
        super().__init__()
        self.workload, self.number = workload, 0

    def __next__(self):
        raise NotImplementedError

    def __len__(self):
        return self.workload.plan["clients"]

    def get_cohort(self, cohort_size):
        cohort = self.workload.plan["rounds"][self.number]
        context = get_framework_module().distributed
        for client, _ in cohort[context.global_rank :: context.world_size]:
            index = self.workload.work[self.number, client]
            tensors = (self.workload.inputs[index], self.workload.targets[index])
            yield PyTorchTensorDataset(tensors, user_id=str(client)), client
        self.number += 1


class Network(torch.nn.Module):
    """The network with the methods that pfl asks for."""

    def __init__(self, dtype):
        super().__init__()
        self.layers = network().to(dtype)

    def loss(self, inputs, targets, **_):
        return torch.nn.functional.cross_entropy(self.layers(inputs), targets)

    def metrics(self, inputs, targets, **_):
        return {"examples": Weighted(0.0, len(targets))}  # asked for before round 1, which does not count


class Clock(TrainingProcessCallback):
    """Notes when each round ends."""

    def __init__(self):
        self.ends = []

    def on_train_begin(self, *, model):
        self.ends.append(time.perf_counter())
        return Metrics()

    def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):
        self.ends.append(time.perf_counter())
        return False, Metrics()


def main():
    workload, rounds, options = asked()
    torch.set_num_threads(1)
    module = Network(workload.dtype)
    load(module.layers, workload.start)
    model = PyTorchModel(
        module, torch.optim.SGD, central_optimizer=torch.optim.SGD(module.parameters(), lr=1.0)
    )
    clock, data = Clock(), Planned(workload)
    backend = SimulatedBackend(training_data=data, val_data=data, postprocessors=[WeightByDatapoints()])
    plan = workload.plan
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=rounds,
            evaluation_frequency=rounds + 1,
            train_cohort_size=plan["cohort"],
            val_cohort_size=0,
        ),
        backend=backend,
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=plan["lr"], local_batch_size=plan["batch_size"]
        ),
        model_eval_params=None,
        callbacks=[clock],
    )
    if get_framework_module().distributed.global_rank == 0:
        seconds = [end - start for start, end in pairwise(clock.ends)]
        report(options, seconds, torch.nn.utils.parameters_to_vector(module.parameters()))


if __name__ == "__main__":
    main()
