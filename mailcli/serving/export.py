"""`mail export`: a finished run as a SavedModel with its description, for servers that have only TensorFlow.

DIR/1/               the SavedModel, version 1 as TensorFlow Serving counts
DIR/signature.json   inputs and outputs of each signature, the run, a request with its response
DIR/request.json     that request
DIR/README.md        the same for people
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import tensorflow as tf

from mailcli.errors import MailError
from mailcli.escape import json_text
from mailcli.runs.folder import RunFolder
from mailcli.serving.description import describe
from mailcli.serving.export_readme import readme
from mailcli.serving.older_datasets import bucket_note, bucketed_fields
from mailcli.serving.output_path import refuse_existing
from mailcli.serving.served_model import ServedModel
from mailcli.training.predictor import Predictor
from mailcli.utils.files import make_folder_atomically
from mailcli.utils.folder_lock import FolderLock
from mailcli.utils.system_errors import advice_on

logger = logging.getLogger(__name__)
VERSION = "1"
SIGNATURE, REQUEST, README = "signature.json", "request.json", "README.md"


def export(run: RunFolder, folder: Path, data_dir: Path, with_users: bool = False) -> dict[str, Any]:
    """Write a finished run to a new folder, completely or not at all.

    Args:
        run: the run; its best epoch is used.
        folder: must not exist.
        data_dir: folder of the datasets: vocabularies and the item table are those of the run's dataset.
        with_users: whether the users' attributes are stored inside, so that a request may give a user by id alone.

    Returns:
        The contents of signature.json.

    Raises:
        MailError: the folder exists, the dataset is missing or has changed, or the model cannot be saved.
    """
    refuse_existing(folder, "folder")
    predictor = Predictor.open(run, data_dir)
    with FolderLock(folder, f"{folder}: another `mail export` is writing it. Wait for it."):
        refuse_existing(folder, "folder")
        by_number = bucketed_fields(predictor.dataset)
        if by_number:
            logger.warning(bucket_note(predictor.dataset, by_number))
        served = ServedModel(predictor.model, predictor.dataset, run.config, with_users)
        graphs = {signature.name: served.concrete(signature) for signature in served.signatures}
        description = describe(run, predictor.dataset, served, graphs)
        texts = {
            SIGNATURE: json_text(description, indent=2) + "\n",
            REQUEST: json_text(description["request"]) + "\n",
            README: readme(folder.name, description),
        }
        with make_folder_atomically(folder) as partial:
            # Gradients are not needed, and custom ones would be Python code.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            try:
                tf.saved_model.save(served.module, str(partial / VERSION), graphs, options)
            except tf.errors.OpError as error:
                # Its message is TensorFlow's wording of the operating system's error.
                reason, what_to_do = advice_on(error.message) or (error.message, "")
                message = f"{folder}: cannot be written ({reason}). Nothing was written. {what_to_do}"
                raise MailError(message.rstrip()) from error
            predictor.dataset.check_files()
            for name, text in texts.items():
                (partial / name).write_text(text, encoding="utf-8")
    return description
