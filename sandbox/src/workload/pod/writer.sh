# Appends numbered records to a file on each volume, and tells in its log what it found there and what it wrote.
#
# POD is the pod's uid. $1: seconds between two records; then for each volume its name, "=", and where it is mounted.
pause=$1
shift
ended= failed=
# Whatever is being written is finished: nothing is cut short by an orderly end.
trap 'ended=1' TERM INT
files=
for volume in "$@"; do
  file=${volume#*=}/records
  touch "$file" || exit 1
  # A line that a crash tore was never told of. It is closed, so that the next record begins a line of its own.
  if [ -n "$(tail -c 1 "$file")" ]; then echo " torn" >> "$file" || exit 1; fi
  files="$files $file"
done
# What is told as found is on the disk, not only in memory.
sync $files || exit 1
n=$(($(awk 'NF == 2 && $1 + 0 > top { top = $1 + 0 } END { print top + 0 }' $files) + 1))
first=$n
start=$POD-$(date +%s)-$n
echo "kaedama begins $start"
for volume in "$@"; do
  # Each run of records of one start whose numbers follow each other is one line.
  awk -v start="$start" -v name="${volume%%=*}" '
    function tell() { if (who != "") print "kaedama found", start, name, who, from, to }
    $NF == "torn" { next }
    NF == 2 && $1 ~ /^[0-9]+$/ {
      if ($2 == who && $1 == to + 1) { to = $1; next }
      tell(); who = $2; from = $1; to = $1; next
    }
    { damaged++ }
    END { tell(); print "kaedama damaged", start, name, damaged + 0 }
  ' "${volume#*=}/records" || exit 1
done
echo "kaedama ready $start"
while [ -z "$ended" ]; do
  for file in $files; do echo "$n $start" >> "$file" || { failed=1; break 2; }; done
  sync $files || { failed=1; break; }
  echo "kaedama wrote $start $n"
  n=$((n + 1))
  sleep "$pause" 2>/dev/null || sleep 1
done
# Whoever reads this knows of each record, also where the lines before were lost.
echo "kaedama ended $start $first $((n - 1))"
[ -z "$failed" ]
