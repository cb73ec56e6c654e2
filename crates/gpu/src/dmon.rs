//! What `nvidia-smi dmon` wrote: text in columns, whose header names them.

use std::sync::Arc;

/// The text of `nvidia-smi dmon`, read.
///
/// Any selection of columns is read (`-s pucvmet`), with or without date and time (`-o DT`). The
/// header is repeated every twenty seconds or so and may change, where two runs share a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dmon {
    /// The rows, in the order of the file: one a GPU and sample.
    pub rows: Vec<DmonRow>,
    /// Lines that could not be read: cut off, garbled, or before any header.
    pub skipped_lines: u64,
}

/// One GPU at one sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmonRow {
    /// The date as written, `20250721`, in the time zone of the machine; `None` without the column.
    pub date: Option<String>,
    /// The time of day as written, `16:04:11`, likewise.
    pub time: Option<String>,
    /// The GPU's index.
    pub gpu: u32,
    columns: Arc<[String]>,
    /// One for each column.
    values: Vec<Option<u64>>,
}

impl Dmon {
    /// Reads `text`. Nothing in it is fatal: a line that cannot be read is counted.
    ///
    /// A line without its end counts as cut off unless a blank stands behind its last value, as `dmon`
    /// writes it: its last number may be half a number.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut dmon = Self::default();
        let mut header: Option<Header> = None;
        for line in text.split_inclusive('\n') {
            let content = line.trim();
            if let Some(names) = content.strip_prefix('#') {
                // The second line of a header holds the units, `Idx` among them.
                header = Header::parse(names).or(header);
            } else if !content.is_empty() {
                let whole = line.ends_with(char::is_whitespace);
                let row = header.as_ref().filter(|_| whole).and_then(|header| header.row(content));
                dmon.skipped_lines += u64::from(row.is_none());
                dmon.rows.extend(row);
            }
        }
        dmon
    }

    /// The GPUs that the rows tell of, in order.
    #[must_use]
    pub fn gpus(&self) -> Vec<u32> {
        let mut gpus: Vec<u32> = self.rows.iter().map(|row| row.gpu).collect();
        gpus.sort_unstable();
        gpus.dedup();
        gpus
    }

    /// The mean of a column over the rows of one GPU that have it; `None` where none has.
    ///
    /// mean = sum(x_i) / n, every row the same weight. The unit is the column's.
    #[must_use]
    pub fn mean(&self, gpu: u32, column: &str) -> Option<f64> {
        let rows = self.rows.iter().filter(|row| row.gpu == gpu);
        let values: Vec<u64> = rows.filter_map(|row| row.value(column)).collect();
        let sum: f64 = values.iter().map(|value| *value as f64).sum();
        (!values.is_empty()).then(|| sum / values.len() as f64)
    }

    /// The samples that are missing between the first and the last of the file.
    ///
    /// The stamps have whole seconds, and the period is taken to be the shortest step between two of
    /// them: missing = sum over all steps of (step / period - 1), each rounded to the nearest whole.
    /// `None` without date and time, or with fewer than two stamps.
    #[must_use]
    pub fn missing_samples(&self) -> Option<u64> {
        let mut stamps = Vec::new();
        for row in &self.rows {
            stamps.push(row.seconds()?);
        }
        stamps.dedup();
        let steps = stamps.windows(2).filter_map(|pair| pair[1].checked_sub(pair[0]));
        let steps: Vec<u64> = steps.filter(|step| *step > 0).collect();
        let period = *steps.iter().min()?;
        Some(steps.iter().map(|step| (step + period / 2) / period - 1).sum())
    }
}

impl DmonRow {
    /// The value in the column of this name (`sm`, `pwr`, `mclk`, ...); `None` where there is no such
    /// column, or a dash in it.
    #[must_use]
    pub fn value(&self, column: &str) -> Option<u64> {
        let place = self.columns.iter().position(|name| name == column)?;
        *self.values.get(place)?
    }

    /// The names of the columns behind the GPU's index, in order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Share of time in which a kernel ran, percent.
    #[must_use]
    pub fn sm(&self) -> Option<u64> {
        self.value("sm")
    }

    /// Share of time in which device memory was read or written, percent.
    #[must_use]
    pub fn mem(&self) -> Option<u64> {
        self.value("mem")
    }

    /// Seconds since a day long ago, by date and time.
    fn seconds(&self) -> Option<u64> {
        let date: u64 = self.date.as_deref()?.parse().ok()?;
        let day = day_number(date / 10_000, date / 100 % 100, date % 100)?;
        let mut time = self.time.as_deref()?.split(':').map(str::parse::<u64>);
        let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
        Some(day * 86_400 + hour * 3_600 + minute * 60 + second)
    }
}

/// Days of the Gregorian calendar since the first of March of the year 0.
fn day_number(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=9_999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March put the leap day at their end, and make the months' lengths regular.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1)
}

/// Where the columns stand.
struct Header {
    fields: usize,
    date: Option<usize>,
    time: Option<usize>,
    gpu: usize,
    /// Place and name of the others.
    places: Vec<usize>,
    columns: Arc<[String]>,
}

impl Header {
    /// The columns that a line behind a `#` names; `None` for a line of units.
    fn parse(names: &str) -> Option<Self> {
        let names: Vec<String> = names.split_whitespace().map(str::to_lowercase).collect();
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        let gpu = place("gpu")?;
        let (date, time) = (place("date"), place("time"));
        let taken = [Some(gpu), date, time];
        let places: Vec<usize> =
            (0..names.len()).filter(|at| !taken.contains(&Some(*at))).collect();
        let columns = places.iter().map(|at| names[*at].clone()).collect();
        Some(Self { fields: names.len(), date, time, gpu, places, columns })
    }

    fn row(&self, line: &str) -> Option<DmonRow> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.len() != self.fields {
            return None;
        }
        let text = |at: Option<usize>| at.map(|at| fields[at].to_owned());
        let mut values = Vec::with_capacity(self.places.len());
        for at in &self.places {
            values.push(match fields[*at] {
                "-" | "N/A" => None,
                number => Some(number.parse().ok()?),
            });
        }
        Some(DmonRow {
            date: text(self.date),
            time: text(self.time),
            gpu: fields[self.gpu].parse().ok()?,
            columns: Arc::clone(&self.columns),
            values,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_the_columns_wherever_they_stand() {
        let text = "\
# gpu    pwr  gtemp  mtemp     sm    mem     fb   rxpci
# Idx      W      C      C      %      %     MB    MB/s
    0    310     61      -     98     55  70123     12
    1     70     35      -      0      0      4      0
";
        let dmon = Dmon::parse(text);
        assert_eq!((dmon.rows.len(), dmon.skipped_lines), (2, 0));
        assert_eq!(dmon.gpus(), [0, 1]);
        let row = &dmon.rows[0];
        assert_eq!((row.sm(), row.mem(), row.value("pwr")), (Some(98), Some(55), Some(310)));
        assert_eq!((row.value("mtemp"), row.value("enc")), (None, None));
        assert_eq!((row.date.as_ref(), dmon.missing_samples()), (None, None));
        assert_eq!(row.columns().len(), 7);
    }

    #[test]
    fn cut_and_garbled_lines_are_counted_and_a_new_header_is_obeyed() {
        let text = "\
    0      1      1
#Date       Time        gpu     sm    mem
#YYYYMMDD   HH:MM:SS    Idx      %      %
 20251231   23:59:58      0     90     50
 20251231   23:59:58      1      x     50
 20251231   23:59:59      0     91
#Date       Time        gpu    mem     sm
#YYYYMMDD   HH:MM:SS    Idx      %      %
 20260101   00:00:01      0     50     92
 20260101   00:00:02      0     50     93
 20260101   00:00:03      0     50     9";
        let dmon = Dmon::parse(text);
        assert_eq!(dmon.rows.iter().map(DmonRow::sm).collect::<Vec<_>>(), [90, 92, 93].map(Some));
        assert_eq!(dmon.skipped_lines, 4, "no header yet, no number, too few, no end");
        // From 23:59:58 to 00:00:01 of the next year, two seconds have no row.
        assert_eq!(dmon.missing_samples(), Some(2));
        assert_eq!(dmon.mean(0, "sm"), Some((90.0 + 92.0 + 93.0) / 3.0));
        assert_eq!(dmon.mean(1, "sm"), None);
    }

    #[test]
    fn a_last_line_without_end_is_whole_when_a_blank_follows() {
        let head = "# gpu  sm\n# Idx   %\n";
        assert_eq!(Dmon::parse(&format!("{head}  0  10 ")).rows.len(), 1);
        assert_eq!(Dmon::parse(&format!("{head}  0  10")).skipped_lines, 1);
        assert_eq!(Dmon::parse(&format!("{head}  0  10\r\n\r\n")).rows.len(), 1);
        assert_eq!(Dmon::parse(""), Dmon::default());
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        // Known distances: leap years, a century that is none, one that is.
        let day = |year, month, day| day_number(year, month, day).unwrap();
        assert_eq!(day(2024, 3, 1) - day(2024, 2, 28), 2);
        assert_eq!(day(2025, 3, 1) - day(2025, 2, 28), 1);
        assert_eq!(day(1900, 3, 1) - day(1900, 2, 28), 1);
        assert_eq!(day(2000, 3, 1) - day(2000, 2, 28), 2);
        assert_eq!(day(2026, 1, 1) - day(1970, 1, 1), 20_454);
        assert_eq!(day_number(2025, 13, 1), None);
    }
}
