# bash completion of twinspool(1): verbs and options are read from its own --help, so they are always those of the
# installed version.
_twinspool() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[0]}
  COMPREPLY=()
  case $previous in
    --config | --socket | --admin | --store | --directory)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
  esac

  # The verbs before the cursor: options and what follows one that takes a value are no verbs, but no harm either, because
  # only a word that the help so far lists is taken for a verb.
  local -a path=()
  local help word verbs index
  help=$("$command" --help 2>/dev/null) || return
  verbs=$(_twinspool_verbs <<<"$help")
  for ((index = 1; index < COMP_CWORD; ++index)); do
    word=${COMP_WORDS[index]}
    if grep -qxF -- "$word" <<<"$verbs"; then
      path+=("$word")
      help=$("$command" "${path[@]}" --help 2>/dev/null) || return
      verbs=$(_twinspool_verbs <<<"$help")
    fi
  done

  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_twinspool_options <<<"$help") --config --socket --admin --no-color" -- "$current")
  elif [[ -n $verbs ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}

_twinspool_verbs() { sed -n '/^Subcommands:/,/^[^ ]/s/^  \([a-z][a-z-]*\) .*/\1/p'; }

_twinspool_options() { sed -n 's/^  \(-[A-Za-z],\)\{0,1\}\(--[a-z-]*\).*/\2/p' | sort -u; }

complete -o filenames -F _twinspool twinspool
