//! Where a delivery may go. (To be written.)
