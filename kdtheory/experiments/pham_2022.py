"""Every experiment of Pham et al. (2022), "Revisiting Self-Distillation", in one command.

    python -m kdtheory.experiments.pham_2022 --quick
    python -m kdtheory.experiments.pham_2022 --full --data FOLDER --output FOLDER

Stopped, it goes on where it was when it is called again with the same output.
"""

from kdtheory.experiments.curvature import FLATNESS
from kdtheory.experiments.ensemble_teachers import ENSEMBLES
from kdtheory.experiments.programme import Programme
from kdtheory.experiments.rounds import ROUNDS
from kdtheory.experiments.shifts import ROBUSTNESS

PROGRAMME = Programme("pham_2022", "Pham et al. (2022)", (ROUNDS, ENSEMBLES, FLATNESS, ROBUSTNESS))
SCRIPT = PROGRAMME.script

if __name__ == "__main__":
    PROGRAMME.main()
