//! Applies arbitrary bytes as entries and snapshots, for the fuzz targets in `fuzz/` and the tests in `arbitrary`.

use latchd::domain::{
    Body, Entry, FEATURE_LEVEL, Incarnation, LeaderStart, Limits, Name, NodeId, SessionId, StoreId, Table, Timestamp,
    view::LockFilter,
};

/// The bytes of the length before each entry.
const LENGTH_BYTES: usize = 2;

/// Starts a leadership, then applies the entries in these bytes, each after its length.
pub fn apply_entries(bytes: &[u8]) {
    let mut table = led(Table::default());
    for piece in pieces(bytes) {
        if let Ok(entry) = Entry::decode(piece) {
            apply_as_current(&mut table, entry);
        }
    }
    look_at_all(&table);
}

/// Restores a snapshot from bytes; if that works, applies the entries to it.
pub fn restore_and_apply(snapshot: &[u8], entries: &[u8]) {
    let Ok(mut table) = Table::restore(&mut &*snapshot) else { return };
    look_at_all(&table);
    tick(&mut table, u64::MAX / 2);
    for entry in pieces(entries).into_iter().filter_map(|piece| Entry::decode(piece).ok()) {
        apply_as_current(&mut table, entry);
    }
    let mut table = led(table);
    tick(&mut table, u64::MAX);
    look_at_all(&table);
}

/// With the table's own epoch, or almost every entry would be refused.
pub fn apply_as_current(table: &mut Table, entry: Entry) {
    let epoch = table.epoch();
    _ = table.apply(Entry { epoch, ..entry });
}

/// Calls everything that reads the table.
pub fn look_at_all(table: &Table) {
    let now = table.now();
    _ = (table.counts(), table.next_deadline(), table.last_token(), table.session_view(SessionId([0; 16])));
    let frozen = table.freeze();
    let names: Vec<Name> = frozen.locks(&LockFilter::default(), None, now).take(9).map(|view| view.name).collect();
    names.iter().for_each(|name| assert!(table.lock_view(name, now).is_some()));
    let past = names.iter().flat_map(|name| table.history(name));
    past.for_each(|past| _ = (past.end(), past.acquired_at(), past.ended_at(), past.label()));
    let mut bytes = Vec::new();
    frozen.write_to(&mut bytes).expect("a vector can grow");
    assert!(Table::restore(&mut bytes.as_slice()).is_ok(), "a table can restore its own snapshot");
}

pub fn led(mut table: Table) -> Table {
    let start = LeaderStart {
        first_token: 1,
        limits: limits(),
        node: NodeId(1),
        incarnation: Incarnation(1),
        store: StoreId([1; 16]),
        level: FEATURE_LEVEL,
        confirm: true,
        quotas: None,
    };
    table.apply(Entry { at: Timestamp(0), epoch: 0, body: Body::LeaderStart(start) }).expect("always accepted");
    table
}

fn tick(table: &mut Table, at: u64) {
    let body = Body::Batch { touches: Vec::new(), more_touches: false, commands: Vec::new() };
    apply_as_current(table, Entry { at: Timestamp(at), epoch: 0, body });
}

/// The limits of every table in tests; the golden bytes contain them.
pub fn limits() -> Limits {
    Limits {
        name_bytes_max: 512,
        metadata_entries_max: 16,
        metadata_key_bytes_max: 64,
        metadata_value_bytes_max: 256,
        wait_ms_max: 24 * 3_600_000,
        lease_ms_max: 720 * 3_600_000,
        size_max: 10_000,
        waiters_per_lock_max: 10_000,
        holds_max: 5_000_000,
        sessions_max: 100_000,
        holds_per_session_max: 10_000,
        remembered_sizes_max: 10_000,
        remembered_size_idle_ms: 300_000,
        requests_max: 1_000_000,
        names_max: 64,
        lock_delay_ms_max: 600_000,
        value_bytes_max: 4_096,
        election_reliable_ms: 1_000,
        deadlock_search_max: 10_000,
        marks_max: 1_000,
        mark_idle_ms: 600_000,
        history_per_lock: 3,
        history_bytes_max: 1 << 20,
        ..Limits::default()
    }
}

fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let Some((length, rest)) = bytes.split_at_checked(LENGTH_BYTES) {
        let length = usize::from(u16::from_le_bytes([length[0], length[1]])).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// The bytes that [`apply_entries`] splits into these entries.
pub fn joined(entries: &[Entry]) -> Vec<u8> {
    let encoded = entries.iter().map(Entry::encode);
    encoded.flat_map(|bytes| [&(bytes.len() as u16).to_le_bytes(), bytes.as_slice()].concat()).collect()
}
