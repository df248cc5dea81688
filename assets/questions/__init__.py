"""Questions to what stands: subsets, the accuracy of filters, ablation studies."""
