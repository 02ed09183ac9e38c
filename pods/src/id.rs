/// Ids of pods look like those of containers: 64 random hex digits.
pub type PodId = containers::ContainerId;
