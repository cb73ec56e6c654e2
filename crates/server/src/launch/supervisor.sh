# Waits beside a server for the end of its owner, and stops the server when the owner could not.
# Usage: sh -c SCRIPT NAME MARKER TENTHS [COMMAND...]
#   MARKER   what every process of the server has in its environment
#   TENTHS   how long they have to end by themselves, in tenths of a second
#   COMMAND  what is run at the end, as `docker compose down`
# Its standard input is a pipe whose other end the owner alone holds. The owner writes `group PID`
# once the server has started, and `done` once it has stopped it. An end without `done` means that
# the owner is dead, however it died.

# Whoever tells the owner's terminal or group to end does not mean this.
trap '' HUP INT QUIT TERM
marker=$1 tenths=$2
shift 2
group=
while read -r word value; do
    case $word in
    group) group=$value ;;
    done) exit 0 ;;
    esac
done

# Sets $ours to the server's living processes, as ` PID.START PID.START `: in its group, marked, the
# children of such, or seen before (the time of the start tells a process from a later one of the
# same number).
ours=' '
look() {
    seen=$ours ours=' '
    marked=' '
    for file in $(grep -lsaF -e "$marker" /proc/[0-9]*/environ 2>/dev/null); do
        file=${file#/proc/}
        marked="$marked${file%/environ} "
    done
    grown=yes
    while [ -n "$grown" ]; do
        grown=
        for file in /proc/[0-9]*/stat; do
            { read -r line <"$file"; } 2>/dev/null || continue
            pid=${line%% *}
            # What is behind the name: state, parent, group, ..., start as the 20th.
            fields=${line##*') '}
            set -- $fields
            [ $# -ge 20 ] || continue
            state=$1 parent=$2 in=$3 start=${20}
            case $state in Z | X) continue ;; esac
            [ "$pid" = $$ ] && continue
            case $ours in *" $pid.$start "*) continue ;; esac
            is=
            case $seen in *" $pid.$start "*) is=yes ;; esac
            case $marked in *" $pid "*) is=yes ;; esac
            case $ours in *" $parent."*) is=yes ;; esac
            [ -n "$group" ] && [ "$in" = "$group" ] && is=yes
            if [ -n "$is" ]; then
                ours="$ours$pid.$start "
                grown=yes
            fi
        done
    done
}

# Sends the signal $1 to them.
tell() {
    [ -n "$group" ] && kill "-$1" -- "-$group" 2>/dev/null
    for each in $ours; do
        [ "$each" = group ] || kill "-$1" "${each%%.*}" 2>/dev/null
    done
}

# Without /proc only the group is known.
[ -e /proc/self/stat ] || ours=' group '
look_again() {
    [ "$ours" = ' group ' ] || look
}

look_again
tell TERM
waited=0
while [ "$ours" != ' ' ] && [ "$waited" -lt "$tenths" ]; do
    sleep 0.1
    waited=$((waited + 1))
    look_again
done
tries=0
while [ "$ours" != ' ' ] && [ "$tries" -lt 100 ]; do
    tell KILL
    sleep 0.05
    tries=$((tries + 1))
    look_again
done
[ $# -eq 0 ] || "$@"
exit 0
