"""Ranking towers, one per file: each holds a class `Ranker` (mailcli.models.RankingTower)."""
