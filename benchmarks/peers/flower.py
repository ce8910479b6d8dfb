"""Flower's simulation (Ray) on the workload: any of its nodes trains the client that a message names."""

import time
from itertools import pairwise

import torch
from flower_client import client_app
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from workload import asked, load, network, report

server_app = ServerApp()
ASKED = {}
ENDS = []


class Planned(FedAvg):
    """FedAvg over the plan's cohorts."""

    def configure_train(self, server_round, arrays, config, grid):
        workload, options = ASKED["workload"], ASKED["options"]
        cohort = workload.plan["rounds"][server_round - 1]
        while len(nodes := sorted(grid.get_node_ids())) < len(cohort):
            time.sleep(0.05)
        if not ENDS:
            ENDS.append(time.perf_counter())
        for node, (client, _) in zip(nodes, cohort, strict=False):
            config = ConfigRecord(
                {
                    "folder": str(options.folder.resolve()),
                    "dtype": options.dtype,
                    "number": server_round - 1,
                    "client": client,
                }
            )
            content = RecordDict({"arrays": arrays, "config": config})
            yield Message(content=content, message_type=MessageType.TRAIN, dst_node_id=node)

    def aggregate_train(self, server_round, replies):
        merged = super().aggregate_train(server_round, replies)
        ENDS.append(time.perf_counter())
        return merged


@server_app.main()
def main(grid, context):
    workload, options = ASKED["workload"], ASKED["options"]
    model = load(network().to(workload.dtype), workload.start)
    strategy = Planned(fraction_evaluate=0.0)
    result = strategy.start(
        grid=grid, initial_arrays=ArrayRecord(model.state_dict()), num_rounds=ASKED["rounds"]
    )
    model.load_state_dict(result.arrays.to_torch_state_dict())
    seconds = [end - start for start, end in pairwise(ENDS)]
    report(options, seconds, torch.nn.utils.parameters_to_vector(model.parameters()))


if __name__ == "__main__":
    ASKED["workload"], ASKED["rounds"], ASKED["options"] = asked()
    processes = ASKED["options"].processes
    run_simulation(
        server_app=server_app,
        client_app=client_app,
        num_supernodes=ASKED["workload"].plan["cohort"],
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"num_cpus": processes, "include_dashboard": False},
        },
    )
