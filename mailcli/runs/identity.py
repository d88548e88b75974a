"""What a run's result depends on, as its config.toml records it: settings, dataset, code."""

from __future__ import annotations

from mailcli import plugins
from mailcli.config import Options, RunConfig, to_toml
from mailcli.data.dataset import MANIFEST, Dataset
from mailcli.settings.class_code import class_attribute
from mailcli.settings.option_defaults import default_tables
from mailcli.utils.files import file_sha256

#: The key of config.toml for the dataset.
DATASET = "dataset_sha256"
#: Keys of config.toml for the code of an outside ranker or method.
RANKER, COLD_START = "ranker_sha256", "cold_start_sha256"
#: Keys of config.toml of a run that continues another: its ids, and the other run's optimizers.
NUMBERING, PARENT_OPTIMIZERS = "vocabularies_sha256", "continues_optimizers_sha256"
#: The key of config.toml for `training_version`; a run without it has version 1.
VERSION = "training_version"
#: Raised when the same settings train another model than before, so that no table mixes the two. 2: batch
#: normalization's statistics, the draw of `strict`, generated steps with a length and an action, LLAE, CVAE.
TRAINING_VERSION = 2
#: The same for trivial rows. 3: the bias of a new user whose id is known.
TRIVIAL_VERSION = 3
#: The key of config.toml for `ColdStartMethod.training_version`; a run without it has version 1.
METHOD_VERSION = "cold_start_version"
VERSIONS = (VERSION, METHOD_VERSION)
#: The end of keys that hold a checksum.
SHA256 = "_sha256"
SHA256_KEYS = (DATASET, RANKER, COLD_START, NUMBERING, PARENT_OPTIMIZERS)


def dataset_sha256(dataset: Dataset) -> str:
    """SHA-256 of dataset.json, which in turn holds the SHA-256 of the raw files."""
    return file_sha256(dataset.folder / MANIFEST)


def checksums_of(config: RunConfig, dataset: Dataset) -> dict[str, str]:
    """SHA-256 of what a run depends on besides its settings: the dataset, and an outside ranker or method."""
    checksums = {
        DATASET: dataset_sha256(dataset),
        RANKER: None if plugins.is_trivial(config.ranker) else plugins.code_sha256(plugins.RANKERS, config.ranker),
        COLD_START: plugins.code_sha256(plugins.COLD_STARTS, config.cold_start),
    }
    return {key: checksum for key, checksum in checksums.items() if checksum}


def training_version(config: RunConfig) -> int:
    """TRAINING_VERSION, or TRIVIAL_VERSION for a trivial row."""
    return TRIVIAL_VERSION if plugins.is_trivial(config.ranker) else TRAINING_VERSION


def version_keys(config: RunConfig) -> Options:
    """The keys of config.toml that say which version of mail, and of the cold-start method, trains a run."""
    versions: Options = {VERSION: training_version(config)}
    if not plugins.is_external(plugins.COLD_STARTS, config.cold_start):
        version = class_attribute(plugins.COLD_STARTS, config.cold_start, "training_version")
        # Most methods have had no other version, and their runs no key.
        versions |= {METHOD_VERSION: version} if version > 1 else {}
    return versions


def run_identity(config: RunConfig, dataset: Dataset) -> Options:
    """All that a run's result depends on: its settings, the dataset, the code of an outside ranker or method, ours."""
    return {
        **version_keys(config),
        **checksums_of(config, dataset),
        **to_toml(config),
        **default_tables(config),
    }
