"""The shell's completion of `runner ...` and `python -m runner ...`; Hydra says what fits.

    eval "$(runner -sc install=bash)"

zsh takes the same script after `autoload -Uz bashcompinit && bashcompinit`.
"""

import argparse

from runner.errors import ConfigError

SHELLS = ("bash", "zsh")
# Hydra's own script knows neither `python -m` nor options that take a value, and changes what parts words in every
# other completion. What it asks Hydra is the same: the words so far, in COMP_LINE.
SCRIPT = r"""
_runner_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" words program options=() overrides=() word choices at
    word="${line##*[[:space:]]}"
    read -ra words <<< "${line%"$word"}"
    if [[ ${words[0]} == *runner ]]; then
        program=("${words[0]}")
    elif [[ ${words[0]} == *python* && ${words[1]} == -m && ${words[2]} == runner ]]; then
        program=("${words[@]:0:3}")
    else
        return
    fi
    case "${words[${#words[@]} - 1]}" in
        @VALUED@) return ;;
    esac
    for ((at = ${#program[@]}; at < ${#words[@]}; at++)); do
        case "${words[at]}" in
            @VALUED@) options+=("${words[at]}" "${words[++at]}") ;;
            -*) ;;
            *) overrides+=("${words[at]}") ;;
        esac
    done
    if [[ $word == -* ]]; then
        choices="@OPTIONS@"
    else
        choices=$(COMP_LINE="runner ${overrides[*]} $word" "${program[@]}" "${options[@]}" -sc query=bash 2> /dev/null)
    fi
    COMPREPLY=($(compgen -W "$choices" -- "$word"))
    if [[ $word == *=* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%=*}="}")
    fi
}
complete -o nospace -o default -F _runner_completion runner python python3
"""
REMOVED = "complete -r runner python python3; unset -f _runner_completion"


def script(word: str, parser: argparse.ArgumentParser) -> str | None:
    """What a shell is to evaluate for install=SHELL and uninstall=SHELL; None for another request.

    Args:
        word: What stands behind --shell-completion.
        parser: With the options to complete.

    Raises:
        ConfigError: It is a shell for which there is no script.
    """
    what, _, shell = word.partition("=")
    if what not in ("install", "uninstall"):
        return None
    if shell not in SHELLS:
        raise ConfigError([f"--shell-completion {word}: known shells are {', '.join(SHELLS)}"])
    if what == "uninstall":
        return REMOVED
    actions = [action for action in parser._actions if action.option_strings]
    valued = [name for action in actions if action.nargs is None for name in action.option_strings]
    names = [name for action in actions for name in action.option_strings if name.startswith("--")]
    return SCRIPT.replace("@VALUED@", "|".join(valued)).replace("@OPTIONS@", " ".join(names))
