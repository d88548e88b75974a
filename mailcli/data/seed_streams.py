"""The second number of a generator's seed, `np.random.default_rng([seed, number])`, by what is drawn (all ours).

Kept results depend on these numbers, so they stay, although some repeat each other, or the number of an epoch by which
a split is shuffled; `default_rng(seed)` draws what `default_rng([seed, 0])` does. A new draw takes a number above
1,000.
"""

from __future__ import annotations

#: LLAE: which entries of mean steps are corrupted.
CORRUPTED_ENTRIES = 0
#: Methods of one mean step: reference users.
REFERENCE_USERS = 1
#: MetaEmb: batches. `neighbors`: the users of each step of its regression.
METAEMB_BATCHES = REGRESSION_USERS = 2
#: CVAR: batches. Which impressions are treated as new users' in training.
CVAR_BATCHES = TREATED_AS_NEW = 3
#: The folds of users.
USER_FOLDS = 4
#: `match`: reference users.
MATCH_REFERENCE_USERS = 5
#: Audits: whose behavior another user is given.
OTHER_USERS = 7
#: `mail-softmax`: weights, dropout and the order of users of each network, whose number is a third one.
BEHAVIOR_NETWORKS = 1001
