"""A client that nobody here wrote: transformers' own callback, in a Trainer run, unchanged."""

from __future__ import annotations

import pytest

from operator_progress.serving import Serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_transformers_reports_unchanged(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("accelerate", reason="transformers' Trainer needs it: make setup installs it")
    import torch
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
    from transformers.integrations.integration_utils import KubeflowCallback

    for name, value in serving.environment.items():
        monkeypatch.setenv(name, value)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
    )
    generator = torch.Generator().manual_seed(0)
    rows = [
        {"input_ids": torch.randint(1, 50, (6,), generator=generator), "labels": torch.tensor(index % 2)}
        for index in range(16)
    ]
    arguments = TrainingArguments(
        output_dir=str(tmp_path_factory.mktemp("trainer")),
        max_steps=4,
        per_device_train_batch_size=4,
        logging_steps=1,
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        report_to="kubeflow",
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=rows)
    assert any(isinstance(callback, KubeflowCallback) for callback in trainer.callback_handler.callbacks)
    trainer.train()

    serving.wait_for(lambda: len(serving.api.progress) >= 2)
    begun, ended = (serving.api.progress[index][1]["status"]["progress"] for index in (0, -1))
    assert begun["percent"] == 0
    assert begun["metrics"] == [{"name": "total_steps", "value": "4"}]
    assert ended["percent"] == 100
    assert ended["estimatedRemainingSeconds"] == 0
    named = {metric["name"]: metric["value"] for metric in ended["metrics"]}
    assert float(named["loss"]) > 0
    assert {"learning_rate", "grad_norm", "train_runtime"} <= set(named)
    assert set(serving.counts.answers) == {200}
