//! Tables that people read: aligned columns, one line per row, targets beside the numbers.

/// A table that is printed when it is complete.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[&str]) -> Self {
        Self { rows: vec![columns.iter().map(|&column| column.to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints the table as Markdown with aligned columns.
    pub fn print(&self, title: &str) {
        println!("\n## {title}\n");
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}", width = *width)).collect();
            println!("| {} |", cells.join(" | "));
            if index == 0 {
                let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                println!("| {} |", dashes.join(" | "));
            }
        }
    }
}

/// Reports progress on stderr, so that stdout has only the tables.
pub fn progress(text: &str) {
    eprintln!("  {text}");
}

/// What the numbers depend on.
pub fn machine() {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    println!(
        "# latchd {} on {cores} cores of {}",
        env!("CARGO_PKG_VERSION"),
        model.trim_start_matches([' ', '\t', ':'])
    );
    println!("\nServers and the load generator share the machine. Load average at the start: {load}.");
    println!("In brackets: spread over the passes, (max - min) / median.");
}

/// A number beside its target, with a mark that shows whether it is met.
pub fn against(text: String, met: bool) -> String {
    format!("{text} {}", if met { "met" } else { "MISSED" })
}
