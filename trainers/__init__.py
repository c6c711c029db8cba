"""What is trained and measured: random streams, noise laws, data sets, models, trainers.

Nothing here knows of Ray, of the store or of the grid. Importing a family, a data set or a noise law must not
import torch: the planner reads them; the heavy part is imported when a trial is built.
"""
