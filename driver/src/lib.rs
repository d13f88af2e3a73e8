//! Userspace PCIe driver: rings, contexts and DMA memory over VFIO, and the same over a vfio-user socket.
//!
//! Nothing is here yet: `spatten run --device` accepts the models in `spatten-golden` only.
