"""The experiment of Menon et al. (2020), "Why distillation helps", with networks: figure 1, in one command.

    python -m kdtheory.experiments.menon_2020 --quick
    python -m kdtheory.experiments.menon_2020 --full --data FOLDER --output FOLDER

Stopped, it goes on where it was when it is called again with the same output.
"""

from kdtheory.experiments.depth import DEPTH
from kdtheory.experiments.programme import Programme

PROGRAMME = Programme("menon_2020", "Menon et al. (2020), figure 1", (DEPTH,))
SCRIPT = PROGRAMME.script

if __name__ == "__main__":
    PROGRAMME.main()
