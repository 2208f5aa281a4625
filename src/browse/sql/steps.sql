SELECT id, created_by FROM build_step
