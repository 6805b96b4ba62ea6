"""Every experiment of Stanton et al. (2021), "Does Knowledge Distillation Really Work?", in one command.

    python -m kdtheory.experiments.stanton_2021 --quick
    python -m kdtheory.experiments.stanton_2021 --full --data FOLDER --output FOLDER

Stopped, it goes on where it was when it is called again with the same output.
"""

from kdtheory.experiments.augmenting import AUGMENTATION
from kdtheory.experiments.enlarging import ENLARGING, MNIST
from kdtheory.experiments.ensemble_teachers import ENSEMBLES
from kdtheory.experiments.initialisation import INITIALISATION
from kdtheory.experiments.programme import Programme
from kdtheory.experiments.recycling import RECYCLING

PROGRAMME = Programme(
    "stanton_2021",
    "Stanton et al. (2021)",
    (MNIST, ENLARGING, AUGMENTATION, RECYCLING, ENSEMBLES, INITIALISATION),
)
SCRIPT = PROGRAMME.script

if __name__ == "__main__":
    PROGRAMME.main()
