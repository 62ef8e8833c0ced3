/// stub
pub struct MemoryStore;
/// stub
pub struct MemoryStoreBuilder;
